"""A small problem with options, of which everything can be worked out by hand."""

import itertools

import numpy as np

from embodied.mind.belief import posterior
from embodied.mind.options.problem import OVER, ROOT, OptionOutcome

K, M = 3, 2
PRIOR = np.array([0.5, 0.3, 0.2])
FEELS = 3  # that there is time for
TOLD = (2.0, 0.5)  # log odds that feeling the right box, and another, tells; by sample


class Boxes:
    """One of three boxes holds a prize; to open another ends it badly. Feeling a box costs, and tells a little."""

    exact, prior = True, PRIOR

    def __init__(self):
        self.actions = [f"{verb} {box}" for verb in ("feel", "open") for box in range(K)]
        self.depth, self.asked, self.outcomes = {ROOT: 0}, [], {}
        self.waiting, self.given_up = [], 0

    def known(self, node, action):
        return self.outcomes.get((node, action))

    def ask(self, node, action):
        if (node, action) in self.asked:
            return False
        self.asked.append((node, action))
        self.waiting.append((node, action))
        return True

    @property
    def vacant(self):
        return not self.waiting

    def advance(self):
        if not self.waiting:
            return False
        node, action = self.waiting.pop(0)
        self.outcomes[node, action] = self.try_out(node, action)
        return True

    def stop(self):
        self.waiting.clear()

    def left_s(self, node):
        return 1.0 + FEELS - self.depth[node]

    def try_out(self, node, action):
        verb, box = action.split()
        after = OVER
        if verb == "open":
            reward = np.where(np.arange(K) == int(box), 1.0, -0.8)[:, None] * np.ones((K, M))
            return OptionOutcome(reward, np.zeros((K, M, K)), np.ones((K, M), bool), np.ones((K, M)), after)
        over = self.depth[node] >= FEELS
        if not over:
            after = len(self.depth)
            self.depth[after] = self.depth[node] + 1
        reward = np.full((K, M), -0.03 * (1 + int(box)))
        return OptionOutcome(reward, told(int(box)), np.full((K, M), over), np.ones((K, M)), after)


def told(box):
    seen = np.zeros((K, M, K))
    for truth, sample in itertools.product(range(K), range(M)):
        seen[truth, sample, box] = TOLD[sample] if truth == box else -TOLD[sample]
    return seen


def by_hand(belief, depth=0):
    """What a belief is worth, looking at everything that may follow."""
    worth = [belief[box] - 0.8 * (1 - belief[box]) for box in range(K)]
    for box in range(K):
        value = -0.03 * (1 + box)
        if depth < FEELS:
            for truth, sample in itertools.product(range(K), range(M)):
                after = posterior(belief[None], told(box)[truth, sample][None])[0]
                value += belief[truth] / M * by_hand(after, depth + 1)
        worth.append(value)
    return max(worth)


def everything_tried():
    problem = Boxes()
    todo = [ROOT]
    while todo:
        node = todo.pop()
        for action in problem.actions:
            problem.ask(node, action)
            while problem.advance():
                pass
            if problem.outcomes[node, action].after != OVER:
                todo.append(problem.outcomes[node, action].after)
    return problem
