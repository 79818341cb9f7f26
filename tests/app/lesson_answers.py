"""Wrong and right answers to the tasks of the tours, found in other ways than the checks find them."""

from __future__ import annotations

from functools import cache

import numpy as np

import model_adapters as ma
from model_adapters.edits import Gate
from ui import pictures

GRID, SIDE = 12, 32
"""Patches along a side of the bundled ViTs, and pixels of one."""


@cache
def model(name):
    return ma.load(f"bundled:{name}")


@cache
def weights(name, picture="scene:3"):
    """[L][H, Q, K]."""
    capture = ma.subject(model(name), pictures.picture(picture).array).capture()
    return [capture.weights[site] for site in capture.sites]


def best(values):
    return {"layer": str(int(np.argmax(values)) // 4), "head": str(int(np.argmax(values)) % 4)}


def distances():
    at = np.stack(np.divmod(np.arange(GRID * GRID), GRID), 1) * SIDE
    far = np.linalg.norm(at[:, None] - at[None], axis=-1)
    return np.array([[(head[1:, 1:] * far).sum(-1).mean() for head in layer] for layer in weights("vit")])


def entropies():
    def even(rows):
        return (-rows * np.log(np.maximum(rows, 1e-12))).sum(-1).mean()

    return np.array([[even(head[1:]) for head in layer] for layer in weights("vit")])


def along_rows(picture):
    """How much more attention stays in the row than in the column, for each head of a Swin's layer 3."""
    found = model("swin")
    capture = ma.subject(found, pictures.picture(picture).array).capture()
    site = capture.sites[3]
    boxes = capture.layouts[site].keys.boxes
    per = capture.weights[site].shape[-1]
    places = (boxes[:, :2] + boxes[:, 2:]) / 2
    total = []
    for head in capture.weights[site]:
        shares = []
        for row, values in enumerate(head):
            window = places[row // per * per : row // per * per + per]
            same = np.abs(window - places[row]) < 1
            shares.append((values * same[:, 1]).sum() - (values * same[:, 0]).sum())
        total.append(np.mean(shares))
    return np.array(total)


@cache
def losses(step=1.0):
    """[L, H]: rise of the loss when a head is turned down by this much, one run per head."""
    vit, picture = model("vit"), pictures.picture("scene:3")
    inputs = vit.prepare(image=picture.array)
    largest = max(picture.objects, key=lambda item: int(item[1].sum()))[0]

    def loss(edits=()):
        scores = ma.run(vit, inputs, edits)[0].double()
        return float(-scores.log_softmax(-1)[vit.labels.index(largest)])

    plain = loss()
    gates = [[Gate(ma.Where(sites=(site.name,), heads=(head,)), 1 - step) for head in range(4)] for site in vit.report.seen]
    return np.array([[(loss((gate,)) - plain) / step for gate in row] for row in gates])


def apart():
    """How far the exact ranking lies from that of slopes."""
    places = [np.argsort(np.argsort(-values.ravel())) for values in (losses(), losses(0.001))]
    return np.abs(places[0] - places[1]).reshape(-1, 4)


def several(order):
    return ",".join(f"{n // 4}.{n % 4}" for n in order)


def sink():
    return int(weights("vit-sinks")[4].mean((0, 1)).argmax())


def answers():
    """(tour, step) -> (what a wrong learner chooses, what a right one chooses), as the link says it."""
    whole = np.any([mask for _, mask in pictures.picture("scene:3").objects], 0)
    inside = whole.reshape(GRID, SIDE, GRID, SIDE).all((1, 3))
    on = 1 + int(np.flatnonzero(inside)[0])
    near, even, cost = distances(), entropies(), losses()
    order = np.argsort(np.abs(cost).ravel())
    parked = np.array([[head[1:, sink()].mean() for head in layer] for layer in weights("vit-sinks")])
    rows = {id: int(along_rows(id).argmax()) for id in ("scene:3", "scene:5")}
    columns = {id: int(along_rows(id).argmin()) for id in rows}
    dear, idle, odd, fit = best(cost), best(-np.abs(cost)), best(apart()), best(-apart())
    planted = {"model": "bundled:vit-sinks"}

    def silence(place):
        return {"differs": "edit", "edit": "head", "edit-layer": place["layer"], "edit-head": place["head"]}

    return {
        ("heads", 1): ({"query": "1"}, {"query": str(on)}),
        ("heads", 2): (best(near), best(-near)),
        ("heads", 3): (best(-even), best(even)),
        ("heads", 4): ({"query": "class", "layer": "0"}, {"query": "class", "layer": "5"}),
        ("heads", 5): tuple({"model": "bundled:swin", "layer": "3", "head": str(h["scene:3"])} for h in (columns, rows)),
        ("heads", 6): tuple(
            {"model": "bundled:swin", "layer": "3", "head": str(rows[id]), "image": id} for id in ("scene:3", "scene:5")
        ),
        ("matter", 1): (idle, dear),
        ("matter", 2): (dear, idle),
        ("matter", 3): (fit, odd),
        ("matter", 4): (silence(idle), silence(dear)),
        ("matter", 5): ({"heads": several(order[-6:])}, {"heads": several(order[:6])}),
        ("matter", 6): ({"heads": several(order[:1])}, {"heads": several(order[::-1][:8])}),
        ("sinks", 1): ({**planted, "at": "0"}, {**planted, "at": "4"}),
        ("sinks", 2): ({**planted, "query": "80"}, {**planted, "query": str(sink())}),
        ("sinks", 3): ({**planted, "query": str(sink())}, {**planted, "query": str(sink()), "image": "scene:5"}),
        ("sinks", 4): ({**planted, **best(-parked)}, {**planted, **best(parked)}),
        ("sinks", 5): ({**planted, "mode": "raw"}, {**planted, "mode": "sinks removed"}),
        ("sinks", 6): (planted, {"model": "bundled:vit-registers"}),
        ("believe", 1): ({"maps": "input_x_gradient"}, {"maps": "patch_ablation"}),
        ("believe", 2): ({"maps": "patch_ablation"}, {"maps": "input_x_gradient"}),
        ("believe", 3): ({"maps": "gradient_attention"}, {"maps": "rollout"}),
        ("believe", 4): ({"class": "ball"}, {"class": "house"}),
        ("believe", 5): tuple(
            {"differs": "method", "left-method": "patch_ablation", "right-method": n} for n in ("occlusion", "token_grad_cam")
        ),
    }  # fmt: skip
