"""The rules of a comparison run, once more and on their own: lists of jobs, a table of free GPUs, one pass per second in which something happens.

Slow and short on purpose; shares nothing with the scheduler. `run(jobs, policy, nodes, gpus_per_node, pack)` fills in first_start, end and
preempts of each job. Without `pack`, GPUs are interchangeable; with it, a job of up to a node's GPUs lies on one node (best fit), a larger one on
empty nodes plus one more for the rest.
"""

import dataclasses
import fractions

THRESHOLDS = (3600, 57600)  # GPU-seconds, of las


@dataclasses.dataclass(eq=False)
class Job:
    id: str
    submit: int
    runtime: int
    gpus: int
    estimate: int
    line: int
    first_start: int = None
    end: int = None
    preempts: int = 0
    left: int = None          # of its runtime
    attained: int = 0         # GPU-seconds
    started: int = None       # its present run
    place: list = None        # [(node, gpus)]


def place(free, gpus, per_node, pack):
    """Where the job goes on so many free GPUs per node; None when it doesn't fit."""
    if not pack:
        return [(0, gpus)] if free[0] >= gpus else None
    whole, rest = divmod(gpus, per_node) if gpus > per_node else (0, gpus)
    empty = [node for node in range(len(free)) if free[node] == per_node][:whole]
    if len(empty) < whole:
        return None
    chosen = [(node, per_node) for node in empty]
    if rest:
        fitting = [node for node in range(len(free)) if node not in empty and free[node] >= rest]
        if not fitting:
            return None
        chosen.append((min(fitting, key=lambda node: (free[node], node)), rest))
    return chosen


def take(free, where, sign=-1):
    for node, gpus in where:
        free[node] += sign * gpus


def run(jobs, policy, nodes, per_node, pack):
    if not pack:
        nodes, per_node = 1, nodes * per_node
    arrivals = sorted(jobs, key=lambda job: (job.submit, job.line))
    for job in jobs:
        job.left = job.runtime
    waiting, running, free = [], [], [per_node] * nodes

    def start(job, now, where):
        job.place, job.started = where, now
        job.first_start = now if job.first_start is None else job.first_start
        take(free, where)
        running.append(job)
        waiting.remove(job)

    def stop(job, now):
        job.left -= now - job.started
        job.attained += (now - job.started) * job.gpus
        job.started = None
        take(free, job.place, +1)
        running.remove(job)

    first_come = lambda job: (job.submit, job.line)
    shortest = lambda job: (job.runtime, job.submit, job.line)
    by_estimate = lambda job: (job.estimate, job.submit, job.line)

    def in_order(now, key, skip):
        for job in sorted(waiting, key=key):
            where = place(free, job.gpus, per_node, pack)
            if where:
                start(job, now, where)
            elif not skip:
                return job
        return None

    def easy(now, key):
        head = in_order(now, first_come, False)
        if not head:
            return
        shadow_free = list(free)
        ends = sorted({max(now, job.started + job.estimate) for job in running})
        for shadow in ends:
            for job in running:
                if max(now, job.started + job.estimate) == shadow:
                    take(shadow_free, job.place, +1)
            if place(shadow_free, head.gpus, per_node, pack):
                break
        for job in sorted(waiting, key=key):
            where = None if job is head else place(free, job.gpus, per_node, pack)
            if not where:
                continue
            if now + job.estimate > shadow:
                take(shadow_free, where)
                if not place(shadow_free, head.gpus, per_node, pack):
                    take(shadow_free, where, +1)
                    continue
            start(job, now, where)

    def rank(now, job):
        left, attained = job.left, job.attained
        if job.started is not None:
            left -= now - job.started
            attained += (now - job.started) * job.gpus
        first = {"srtf": left, "srsf": left * job.gpus, "las": sum(threshold <= attained for threshold in THRESHOLDS)}[policy]
        return (first, job.submit, job.line)

    def preemptive(now):
        empty, chosen = [per_node] * nodes, {}
        for job in sorted(waiting + running, key=lambda job: rank(now, job)):
            where = place(empty, job.gpus, per_node, pack)
            if where:
                take(empty, where)
                chosen[job] = where
        for job in list(running):
            if job not in chosen:
                stop(job, now)
                job.preempts += 1
                waiting.append(job)
        for job in running:  # moving is free
            job.place = chosen[job]
        for job in list(waiting):
            if job in chosen:
                start(job, now, chosen[job])
        free[:] = empty

    def next_instant():
        times = [job.started + job.left for job in running] + [job.submit for job in arrivals[:1]]
        if policy == "las":
            for job in running:
                times += [job.started + -(-(threshold - job.attained) // job.gpus) for threshold in THRESHOLDS
                          if job.attained + (now - job.started) * job.gpus < threshold]
        return min(times)

    now = 0
    while arrivals or running:
        now = next_instant()
        for job in [job for job in running if job.started + job.left == now]:
            stop(job, now)
            job.end = now
        while arrivals and arrivals[0].submit == now:
            waiting.append(arrivals.pop(0))
        {"fifo": lambda: in_order(now, first_come, False), "fifo-skip": lambda: in_order(now, first_come, True),
         "sjf": lambda: in_order(now, shortest, False), "sjf-skip": lambda: in_order(now, shortest, True),
         "easy": lambda: easy(now, first_come), "easy-sjf": lambda: easy(now, by_estimate)}.get(policy, lambda: preemptive(now))()
    return jobs


def percentile(values, percent):
    values = sorted(values)
    return values[max(-(-len(values) * percent // 100), 1) - 1]


def mean(values):
    return float(fractions.Fraction(sum(fractions.Fraction(value) for value in values), len(values)))


def measures(rows, gpus):
    """`rows`: (submit, runtime, gpus, first_start, end) in seconds. The columns of a table of results, by name."""
    turnaround = [end - submit for submit, _, _, _, end in rows]
    wait = [time - row[1] for time, row in zip(turnaround, rows)]
    slowdown = [max(fractions.Fraction(1), fractions.Fraction(time, max(row[1], 10))) for time, row in zip(turnaround, rows)]
    makespan = max(row[4] for row in rows) - min(row[0] for row in rows)
    table = {"jobs": len(rows), "first_wait_mean": mean([row[3] - row[0] for row in rows]), "makespan": makespan,
             "util": sum(row[1] * row[2] for row in rows) / (gpus * makespan) if makespan else 0}
    for name, values in (("wait", wait), ("jct", turnaround), ("bsld", slowdown)):
        table[name + "_mean"] = mean(values)
        for percent in (50, 95, 99):
            table[f"{name}_p{percent}"] = float(percentile(values, percent))
    for name, members in (("wait_mean_le8", [w for w, row in zip(wait, rows) if row[2] <= 8]), ("wait_mean_gt8", [w for w, row in zip(wait, rows) if row[2] > 8])):
        table[name] = mean(members) if members else 0.0
    return table
