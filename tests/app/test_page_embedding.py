"""Look / Embedding: links, tokens and neighbours against what the model says itself, and the page with its refusals."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from tests.app.pages import opened, settled
from tests.app.small_models import small_vit_without_class_token
from ui import pictures
from ui.jobs import Progress
from ui.point_map.points import Tokens
from ui.results import embedding, embedding_maps, embedding_tokens
from ui.results.set_snippet import set_snippet


@pytest.fixture(scope="module")
def vit():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def seen(vit):
    return embedding.look(vit, [pictures.picture(f"scene:{n}") for n in (3, 0, 1)], None, "vision", Progress())


@pytest.fixture(scope="module")
def points(seen):
    return embedding.head_points(seen, seen.sites[3], 1)


def test_lines_lead_to_the_keys_that_a_query_looks_at_most(vit, seen, points):
    count = 145
    for image, row in ((0, 0), (1, 77), (2, 144)):
        plain = ma.capture(vit, vit.prepare(image=seen.pictures[image].array)).weights[seen.sites[3]][1][row]
        links = points.links[image * count + row]
        best = 3 * count + image * count + int(plain.argmax())
        assert links[0] == best
        np.testing.assert_allclose(points.strength[image * count + row], np.sort(plain)[::-1][:5], rtol=1e-5)


def test_lines_of_a_key_lead_to_queries_of_the_same_picture(points):
    keys = np.arange(3 * 145, 6 * 145)
    assert (points.links[keys] < 3 * 145).all() and (points.links[: 3 * 145] >= 3 * 145).all()
    same = points.tokens.picture[points.links] == points.tokens.picture[:, None]
    assert same.all()


def test_tokens_know_row_column_and_what_is_there(seen, points):
    tokens = points.tokens
    assert tokens.words[tokens.word[0]] == "class token" and tokens.place[0].tolist() == [-1, -1]
    picture = seen.pictures[0]
    for row, column in ((0, 0), (3, 5), (11, 11)):
        item = 1 + 12 * row + column
        assert tokens.place[item].tolist() == [row, column]
        cell = np.s_[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]  # 384 pixels in 12 patches
        covered = {name: mask[cell].mean() for name, mask in picture.objects}
        expected = max(covered, key=lambda name: covered[name]) if max(covered.values()) > 0.5 else "background"
        assert tokens.words[tokens.word[item]] == expected
        np.testing.assert_allclose(tokens.box[item], np.array([column, row, column + 1, row + 1]) / 12, atol=1e-3)


def test_a_search_finds_exactly_what_fits(points):
    tokens = points.tokens
    found = embedding_tokens.matching(tokens, picture=1, row=4, word="background")
    there = [tokens.words[word] == "background" for word in tokens.word]
    by_hand = [i for i, fits in enumerate(there) if fits and tokens.picture[i] == 1 and tokens.place[i, 0] == 4]
    assert np.flatnonzero(found).tolist() == by_hand and by_hand
    assert embedding_tokens.matching(tokens) is None


def test_neighbours_are_those_of_a_plain_search(points):
    vectors, item = points.joint.vectors, 100
    candidates = np.arange(3 * 145, 6 * 145)
    found = embedding.neighbours(vectors, item, candidates, distance="euclidean", count=4)
    distance = np.linalg.norm(vectors[candidates] - vectors[item], axis=1)
    assert [i for i, _ in found] == candidates[np.argsort(distance)[:4]].tolist()
    assert [d for _, d in found] == pytest.approx(np.sort(distance)[:4].tolist())


def test_small_scatters_are_the_same_points_in_bytes(seen):
    made = embedding.panels(seen, Progress(), pictures_used=1)
    assert made.points.shape == (24, 290, 2) and made.correlation.values.shape == (6, 4)
    own = embedding.head_points(
        embedding.Seen(seen.captures[:1], seen.pictures[:1], "vision", seen.gallery, seen.offered), seen.sites[2], 3
    )
    number = made.places.tolist().index([3, 2])
    points = own.joint.embedding.points
    for axis in (0, 1):
        assert np.corrcoef(points[:, axis], made.points[number][:, axis])[0, 1] > 0.999
    spans = np.ptp(points, axis=0) / np.ptp(made.points[number].astype(float), axis=0)
    assert spans[0] == pytest.approx(spans[1], rel=0.03)  # both directions on one scale
    assert made.correlation.values[2, 3] == own.joint.correlation


def test_states_of_a_layer_are_the_models_own(vit, seen):
    found = embedding.state_points(seen, 4)
    capture = ma.capture(vit, vit.prepare(image=seen.pictures[1].array), want={"hidden"})
    np.testing.assert_allclose(found.vectors[145:290], capture.hidden["vision", 4], atol=1e-5)
    assert len(found.tokens.word) == 3 * 145


def test_colours_need_two_pictures_to_leave_the_position_out(seen):
    both = embedding.colours(seen, 6)
    assert both.removed is not None and 0 < both.position < 1
    alone = embedding.colours(embedding.Seen(seen.captures[:1], seen.pictures[:1], "vision", seen.gallery, seen.offered), 6)
    assert alone.removed is None
    drawn = embedding_maps.colour_picture(both.kept, 0, both.rows[0], (384, 384), side=120)
    np.testing.assert_array_equal(drawn[35, 55, :3], np.rint(255 * both.kept.colours[0, 1 + 12 * 3 + 5]))
    assert (drawn[..., 3] == 255).all()


def test_colours_of_points_tell_row_and_picture(seen, points):
    kinds = (embedding_maps.QUERIES, embedding_maps.KEYS)
    for by in embedding_maps.COLOURINGS:
        group, legend = embedding_maps.coloured(points.tokens, by, kinds, seen)
        assert group.max() < len(legend)
    group, legend = embedding_maps.coloured(points.tokens, "row", kinds, seen)
    assert legend[group[0]].name == "no place" and legend[group[1]].name == "row 0" and legend[group[144]].name == "row 11"


def test_a_patch_of_a_photograph_is_cut_out_where_it_lies(seen):
    tokens = Tokens(
        np.array([0]),
        np.array([[0.5, 0.25, 0.75, 0.5]]),
        np.zeros((1, 2), int),
        np.zeros(1, int),
        ("",),
        np.zeros(1, int),
        ("token",),
    )
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[10:20, 20:30] = (200, 30, 40)
    own = pictures.Picture("upload:1", "mine", picture)
    made = embedding.Seen(seen.captures[:1], (own,), "vision", seen.gallery, seen.offered)
    crop = embedding_maps.patch(made, tokens, 0, side=90)
    assert crop[45, 45].tolist() == [200, 30, 40] and crop[10, 10].tolist() == [0, 0, 0]
    lit = embedding_maps.with_patches(made, tokens, 0, [0])
    assert lit[15, 25].tolist() == [200, 30, 40] and lit[5, 5].tolist() == [90, 90, 90]


def test_the_python_that_is_taken_away_makes_the_same_points(seen, points):
    lines = ["site = [s for s in captures[0].sites if s.tower == 'vision'][3]",
             "shown = analysis.projections.query_key_embedding(captures, site, 1)"]  # fmt: skip
    made: dict = {}
    exec(set_snippet("bundled:vit", "pretrained", None, ["scene:3", "scene:0", "scene:1"], lines, ["queries"]), made)
    np.testing.assert_allclose(made["shown"].vectors, points.joint.vectors, atol=1e-4)


def ready(page):
    return any(s.value.startswith("Nearest") for s in page.subheader)


def test_the_page_shows_queries_and_keys_before_anything_is_touched(vit):
    page = settled(opened("look/embedding"), ready)
    shown = [pictures.picture(id) for id in ("scene:3", "scene:0", "scene:1", "scene:2")]
    four = embedding.look(vit, shown, None, "vision", Progress())
    joint = embedding.head_points(four, four.sites[5], 0).joint
    assert any(f"product {joint.correlation:.2f}".replace("-", "−") in c.value for c in page.caption)
    page.selectbox(key="find-word").set_value("ball")
    settled(page, lambda page: any("points fit" in c.value for c in page.caption))


def test_another_head_in_the_link_is_another_map(vit, seen):
    page = settled(opened("look/embedding", layer="2", head="3", beside="1"), ready)
    one = embedding.look(vit, [pictures.picture("scene:3")], None, "vision", Progress())
    joint = embedding.head_points(one, one.sites[2], 3).joint
    assert any(f"product {joint.correlation:.2f}".replace("-", "−") in c.value for c in page.caption)


def test_hidden_states_and_colours_are_pages_of_their_own():
    page = settled(opened("look/embedding", show="states", beside="1", **{"states-of": "2"}), ready)
    assert any("of 128 dimensions" in c.value for c in page.caption)
    page = settled(opened("look/embedding", show="colours", beside="1"), lambda page: page.info)
    assert "two pictures" in page.info[0].value


def test_layers_of_other_sizes_are_refused_with_what_can_be_shown():
    page = settled(opened("look/embedding", model="bundled:swin"), lambda page: page.info)
    assert "different numbers of queries and keys" in page.info[0].value and "hidden states" in page.info[0].value
    settled(opened("look/embedding", model="bundled:swin", show="states"), ready)
    page = settled(opened("look/embedding", model="bundled:clip", tower="text"), lambda page: page.info)
    assert "no place on a picture" in page.info[0].value


def test_a_model_without_a_class_token_is_shown_too(monkeypatch, own_jobs):
    model = small_vit_without_class_token()
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    page = settled(opened("look/embedding", model="timm:small"), ready)
    assert not page.error
