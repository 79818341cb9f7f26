"""OPERA's search in the order of its release's steps, slowly: every beam is always there, and what may not be said has -999."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NEVER, LOST = -999.0, -1e9


def log_softmax(scores: np.ndarray) -> np.ndarray:
    return scores - scores.max() - np.log(np.exp(scores - scores.max()).sum())


def most_frequent(values: list[int]) -> int:
    return min(set(values), key=lambda value: (-values.count(value), value))


def column_scores(answer: np.ndarray, scale: float) -> list[float]:
    return [1e-7 * float(np.prod([scale * answer[i, j] for i in range(j, len(answer))])) for j in range(len(answer))]


class Kept:
    """The best finished answers; lengths count a token that begins the sequence and not the one that ends it."""

    def __init__(self, most: int, kept: list | None = None) -> None:
        self.most, self.kept = most, list(kept or [])

    def add(self, said: tuple[int, ...], total: float, whole: tuple[int, ...]) -> None:
        self.kept = sorted([*self.kept, (total / (1 + len(said)), whole)])[-self.most :]

    def done(self, best: float, length: int) -> bool:
        return len(self.kept) == self.most and self.kept[0][0] >= best / length


def slow_search(read: Callable, ends: set[int], longest: int, beams: int, n: int, weight: float, scale: float, threshold: int):
    said: list[tuple[int, ...]] = [()] * beams
    scores = np.array([0.0] + [LOST] * (beams - 1))
    kept, states, history, refused, times = Kept(beams), [], [], {}, {}
    chosen: list[tuple[int, int]] = []
    returns = 0
    while True:
        states.append({"said": list(said), "kept": Kept(beams, kept.kept), "scores": scores.copy(), "chosen": list(chosen)})
        table, leans = [], []
        for beam in range(beams):
            logits = read(said[beam]).log_probabilities
            order = np.argsort(-logits, kind="stable")[:n]
            row, places = np.full(len(logits), NEVER), []
            for token in order:
                after = read((*said[beam], int(token)))
                columns = column_scores(after.answer, scale)
                places.append(int(np.argmax(columns)))
                row[token] = logits[token] - weight * (-after.image if len(after.answer) <= 10 else max(columns))
            table.append(row)
            leans.append(most_frequent(places))
        history.append(leans)
        column, length = most_frequent(leans), len(said[0])
        turn = column >= 10 and all(sum(h[b] == column for h in history) > threshold for b in range(beams))
        if turn:
            back = column + 1
            if times.get(back, 0) >= n:
                back -= 1
            turn = times.get(back, 0) < n
        if turn:
            returns += 1
            times[back] = times.get(back, 0) + 1
            for _ in range(length + 1 - back - 2):
                states.pop()
                history.pop()
            state, after = states[-2], states[-1]
            said, kept, scores = list(state["said"]), state["kept"], state["scores"].copy()
            states.pop()
            history.pop()
            refused[back + 1] = []
            refused[back] = refused.get(back, []) + after["chosen"]
            table = []
            for beam in range(beams):
                row = read(said[beam]).log_probabilities
                row = row - row.min() + NEVER
                for parent, token in refused[back]:
                    if parent == beam:
                        row[token] = NEVER
                table.append(row)
        total = np.concatenate([log_softmax(row) + score for row, score in zip(table, scores, strict=True)])
        words = len(table[0])
        best = np.argsort(-total, kind="stable")[: 2 * beams]
        going: list[tuple[int, int, float]] = []
        for rank, place in enumerate(best):
            parent, token = divmod(int(place), words)
            if token in ends:
                if rank < beams:
                    kept.add(said[parent], float(total[place]), (*said[parent], token))
            else:
                going.append((parent, token, float(total[place])))
            if len(going) == beams:
                break
        finished = kept.done(float(total[best[0]]), len(said[0]) + 2)
        chosen = [(parent, token) for parent, token, _ in going]
        said = [(*said[parent], token) for parent, token, _ in going]
        scores = np.array([score for _, _, score in going])
        if finished or len(said[0]) == longest:
            break
    if not finished:
        for one, score in zip(said, scores, strict=True):
            kept.add(one, float(score), one)
    return kept.kept[-1][1], returns
