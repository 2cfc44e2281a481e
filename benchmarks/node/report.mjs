// The rows as tables: for the terminal, for docs/performance-node.md and for the README.

import fs from 'node:fs'
import path from 'node:path'
import { chart } from './chart.mjs'

// What must be reached: [case, in flight, rival, times the rival's rate by Node's version].
const marks = [
  ['readFile 4 KiB', 64, 'fs.promises', { 20: 9, 24: 9, 26: 2.2 }],
  ['readFile 4 KiB', 1, 'fs.promises', { 26: 5 }],
  ['readFile 64 KiB, pooled', 64, 'fs.promises', { 26: 1.8 }],
  ['readFile 64 KiB', 64, 'fs.promises', { 26: 1.2 }],
  ['stat', 64, 'fs.promises', { 26: 2 }],
  ['tree: walk, stat, hash', 1, 'fs.promises', { 26: 2 }],
  ['run trivial', 1, 'piscina', { 20: 1, 24: 1, 26: 1 }],
  ['run trivial', 64, 'piscina', { 20: 8, 24: 8, 26: 8 }],
  ['run trivial', 1024, 'piscina', { 20: 25, 24: 25, 26: 25 }],
]

// What must cost less CPU than its rival, too.
const cheaper = 'tree: walk, stat, hash'

const tolerance = 0.97 // what the medians repeat to

const majorOf = (row) => Number.parseInt(row.node.slice(1), 10)
const isOf =
  ([name, inFlight]) =>
  (row) =>
    row.case === name && row.inFlight === inFlight

// { rival, times, ratio, isBehind, costsMore }. On the fallback, and where nothing more is
// asked for, bide must not be slower than the first of its rivals.
export function verdictOf(row) {
  const mark = marks.find((each) => isOf(each)(row))
  const asked = row.backend === 'io_uring' ? mark?.[3][majorOf(row)] : undefined
  const rival = mark?.[2] ?? Object.keys(row.ratios)[0]
  const times = asked ?? 1
  const ratio = row.ratios[rival]
  const { medians } = row
  const costsMore = row.case === cheaper && medians.bide.cpu_us >= medians[rival].cpu_us
  return { rival, times, ratio, isBehind: ratio < times * tolerance || costsMore, costsMore }
}

const rate = (number) =>
  number < 100 ? number.toFixed(1) : Math.round(number).toLocaleString('en')
const cells = (list) => `| ${list.join(' | ')} |`

// ---- the terminal ----

export function print(rows) {
  let last = ''
  for (const row of rows) {
    const title = `Node ${row.node}, bide on ${row.backend}`
    if (title !== last) console.log(`\n${(last = title)}`)
    const { rival, times, ratio, isBehind } = verdictOf(row)
    const rates = Object.entries(row.medians).map(
      ([name, each]) => `${name} ${rate(each.rate)}/s ${each.cpu_us.toFixed(1)} us`,
    )
    console.log(
      `  ${row.case.padEnd(26)} ${String(row.inFlight).padStart(4)}  ` +
        `${ratio.toFixed(2)} x ${rival}, mark ${times}${isBehind ? '  (behind)' : ''}   ` +
        rates.join(', '),
    )
  }
}

const nameOf = (row) =>
  `Node ${row.node}, ${row.backend}: ${row.case}, ${row.inFlight} in flight`

// What one processor can with the system calls alone, where the row has them.
function floorOf({ medians }, rival) {
  const plain = medians['plain calls']
  return plain ? `; plain calls: ${(plain.rate / medians[rival].rate).toFixed(2)}` : ''
}

// One mark on each Node that has it.
function printMark(mark, rows) {
  const [name, inFlight, rival, asked] = mark
  for (const row of rows) {
    const wanted = asked[majorOf(row)]
    if (wanted === undefined || row.backend !== 'io_uring' || !isOf(mark)(row)) continue
    const { ratio, isBehind, costsMore } = verdictOf(row)
    const told = `${isBehind ? 'behind' : 'met'}${costsMore ? ', by its CPU' : ''}`
    console.log(
      `  ${name}, ${inFlight} in flight, Node ${row.node}: ` +
        `${ratio.toFixed(2)} x ${rival} of ${wanted}: ${told}${floorOf(row, rival)}`,
    )
  }
}

function printList(title, rows, ratioOf) {
  console.log(`\n${title}: ${rows.length}`)
  for (const row of rows) console.log(`  ${nameOf(row)}: ${ratioOf(row)}`)
}

// What has been reached, and each row that is slower than Node's own functions.
export function printVerdict(rows) {
  console.log('\nMarks')
  for (const mark of marks) printMark(mark, rows)
  const behind = rows.filter((row) => verdictOf(row).isBehind)
  printList(`Behind, of ${rows.length} rows`, behind, (row) => {
    const { ratio, rival, times } = verdictOf(row)
    return `${ratio.toFixed(2)} x ${rival}, mark ${times}`
  })
  // No mark of its own: its open gives a number, where bide's gives a handle.
  const callbacks = rows.filter((row) => row.ratios.fs < tolerance)
  printList('Slower than fs with callbacks', callbacks, (row) => row.ratios.fs.toFixed(2))
}

// ---- the pages ----

function about({ date, kernel, processors, model }, rows) {
  const nodes = [...new Set(rows.map(({ node }) => node))].join(', ')
  return (
    `${date.slice(0, 10)}: Node ${nodes}; ${model}, ${processors} cores, Linux ${kernel}; ` +
    'medians, all contenders of a row in turns in one process.'
  )
}

// Every contender's rate and CPU, a table for each Node and backend.
function everything(rows) {
  const lines = []
  let last = ''
  for (const row of rows) {
    const title = `Node ${row.node}, bide on ${row.backend}`
    if (title !== last) {
      lines.push('', `### ${(last = title)}`, '')
      lines.push(cells(['', 'in flight', 'a second, us of CPU each', 'bide : rival', 'mark']))
      lines.push('|---|---:|---|---:|---:|')
    }
    const { rival, times, ratio, isBehind } = verdictOf(row)
    const each = Object.entries(row.medians).map(
      ([name, found]) => `${name} ${rate(found.rate)}, ${found.cpu_us.toFixed(1)}`,
    )
    const told = `**${ratio.toFixed(2)}** x ${rival}${isBehind ? ' (behind)' : ''}`
    lines.push(cells([row.case, row.inFlight, each.join('; '), told, times]))
  }
  return lines
}

function headline(mark, rows) {
  const [name, inFlight, rival, asked] = mark
  const ofMajor = (backend) => (major) => {
    const row = rows.find(
      (each) => isOf(mark)(each) && each.backend === backend && majorOf(each) === major,
    )
    return row === undefined ? '' : row.ratios[rival].toFixed(2)
  }
  // What plain calls would give on one processor, where the row has them.
  const floor = rows.find((each) => isOf(mark)(each) && majorOf(each) === 26)
  const plain = floor?.medians['plain calls']
  const plainRatio = plain && (plain.rate / floor.medians[rival].rate).toFixed(2)
  const majors = [20, 24, 26]
  const wanted = majors.map((major) => asked[major] ?? 1)
  return cells([
    `${name}, ${inFlight} in flight`,
    rival,
    ...majors.map(ofMajor('io_uring')).map((text) => `**${text}**`),
    [...new Set(wanted)].length === 1 ? wanted[0] : wanted.join(' / '),
    ...majors.map(ofMajor('epoll')),
    plainRatio ?? '',
  ])
}

function headlines(rows) {
  return [
    cells([
      ...['', 'beside', 'Node 20', '24', '26', 'mark'],
      ...['epoll: 20', '24', '26', 'plain calls, 26'],
    ]),
    '|---|---|---:|---:|---:|---:|---:|---:|---:|---:|',
    ...marks.map((mark) => headline(mark, rows)),
  ]
}

function replace(file, lines) {
  const text = fs.readFileSync(file, 'utf8')
  const begin = '<!-- bench-node -->'
  const end = '<!-- /bench-node -->'
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${file} has no place for the figures`)
  const between = `${begin}\n${lines.join('\n').trim()}\n`
  fs.writeFileSync(file, text.slice(0, from) + between + text.slice(to))
}

const chartOf = (rows) => chart(rows.map((row) => ({ ...row, rival: verdictOf(row).rival })))

export function write(target, machine, rows) {
  fs.mkdirSync(target, { recursive: true })
  const judged = rows.map((row) => ({ ...row, ...verdictOf(row) }))
  const json = JSON.stringify({ ...machine, rows: judged }, null, 1)
  fs.writeFileSync(path.join(target, 'node.json'), json)
  fs.writeFileSync(path.join(target, 'node.svg'), chartOf(rows))
}

export function publish(root, machine, rows) {
  const docs = path.join(root, 'docs')
  fs.writeFileSync(path.join(docs, 'performance-node.svg'), chartOf(rows))
  const page = path.join(docs, 'performance-node.md')
  const picture = "![bide's rate beside its rivals'](performance-node.svg)"
  replace(page, [about(machine, rows), '', picture, ...everything(rows)])
  replace(path.join(root, 'README.md'), [about(machine, rows), '', ...headlines(rows)])
}
