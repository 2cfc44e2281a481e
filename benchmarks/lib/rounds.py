"""Rounds: every contender runs once in each, so that all see the same weather."""

import statistics


def turning(sequence, number):
    """The sequence as a list that begins one further on with each round, so that nothing
    always runs behind the same other."""
    items = list(sequence)
    turn = number % len(items)
    return items[turn:] + items[:turn]


def interleave(contenders, rounds, stage):
    """contenders: {name: a function that measures one slice and returns {row: value}}.

    Returns {row: {name: [one value a round]}}.
    """
    samples = {}
    names = list(contenders)
    for number in range(rounds):
        print(f"  {stage}: round {number + 1} of {rounds}", flush=True)
        for name in turning(names, number):
            for row, value in contenders[name]().items():
                samples.setdefault(row, {}).setdefault(name, []).append(value)
    order = {name: place for place, name in enumerate(names)}
    return {
        row: dict(sorted(values.items(), key=lambda item: order[item[0]]))
        for row, values in samples.items()
    }


def medians(values):
    """{name: [values]} to {name: median}."""
    return {name: statistics.median(series) for name, series in values.items()}
