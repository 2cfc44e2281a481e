// The rows as an SVG: a bar each, as long as bide's rate is times the rival's, on a scale of
// powers of two; a line where both are the same.

const rowHeight = 16
const labelWidth = 330
const unit = 60 // a doubling
const left = labelWidth + 2 * unit // where the ratio is 1

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

function bar({ node, backend, case: name, inFlight, ratios, rival }, i) {
  const ratio = ratios[rival]
  const x = left + unit * Math.log2(Math.max(ratio, 0.25))
  const y = i * rowHeight + 20
  const label = `${node} ${backend}: ${name}, ${inFlight} in flight`
  return [
    `<text x="${labelWidth - 6}" y="${y + 11}" text-anchor="end">${escape(label)}</text>`,
    `<rect x="${Math.min(left, x)}" y="${y}" width="${Math.abs(x - left)}" ` +
      `height="${rowHeight - 4}" fill="${ratio >= 1 ? '#3a7' : '#c54'}"/>`,
    `<text x="${Math.max(left, x) + 4}" y="${y + 11}">${ratio.toFixed(2)} x ${rival}</text>`,
  ].join('\n')
}

export function chart(rows) {
  const height = rows.length * rowHeight + 30
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="${height}" ` +
      'font-family="sans-serif" font-size="11">',
    `<text x="${left}" y="12" text-anchor="middle">the rival's rate</text>`,
    `<line x1="${left}" y1="16" x2="${left}" y2="${height}" stroke="#888"/>`,
    ...rows.map(bar),
    '</svg>\n',
  ].join('\n')
}
