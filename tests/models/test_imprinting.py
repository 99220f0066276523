"""The initial rows of a head for new classes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.models.imprinting import imprint

FEATURES = 12


def clusters(*counts: int, spread: float = 0.2, noise: float = 4.0) -> list[Tensor]:
    """Return features around a centre for each class; the last feature is large and uninformative."""
    torch.manual_seed(0)
    found = []
    for number, count in enumerate(counts):
        features = spread * torch.randn(count, FEATURES)
        features[:, number] += 1
        features[:, -1] += noise * torch.randn(count)
        found.append(features)
    return found


def trained(groups: list[Tensor], *, bias: bool = True) -> nn.Linear:
    """Return a head that knows the classes of these groups."""
    head = nn.Linear(FEATURES, len(groups), bias=bias)
    targets = torch.cat([torch.full((len(group),), number) for number, group in enumerate(groups)])
    fitting = torch.optim.Adam(head.parameters(), 0.05)
    for _ in range(300):
        fitting.zero_grad()
        nn.functional.cross_entropy(head(torch.cat(groups)), targets).backward()  # type: ignore[no-untyped-call]
        fitting.step()
    return head


def grown(head: nn.Linear, rows: dict[str, Tensor]) -> nn.Linear:
    """Return `head` with additional rows."""
    whole = nn.Linear(FEATURES, head.out_features + len(rows["weight"]), bias=head.bias is not None)
    known = dict(head.named_parameters())
    whole.load_state_dict({name: torch.cat([known[name].detach(), rows[name]]) for name in known})
    return whole


@pytest.mark.parametrize("bias", [True, False])
def test_new_classes_are_known_at_once_and_the_old_ones_still(*, bias: bool) -> None:
    """New classes are recognised at once, and old ones still, with few images and an uninformative feature."""
    groups = clusters(*[200] * 4, 8, 20)
    head = trained(groups[:4], bias=bias)
    with torch.inference_mode():
        rows = imprint(head, torch.cat(groups[:4]), groups[4:])
    assert rows.keys() == dict(head.named_parameters()).keys()
    torch.manual_seed(1)
    unseen = clusters(*[200] * 6)
    with torch.inference_mode():
        found = [grown(head, rows)(features).argmax(1) for features in unseen]
        before = [head(features).argmax(1) for features in unseen[:4]]
    for number, classes in enumerate(found):
        assert (classes == number).float().mean() > 0.75
    for number, classes in enumerate(before):
        assert (found[number] == number).float().mean() > (classes == number).float().mean() - 0.1


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 5), st.booleans(), st.sampled_from([0.0, 1e-20, 1.0, 1e6]))
def test_whatever_features_are(known: int, new: int, bias: bool, scale: float) -> None:  # noqa: FBT001
    """Rows are finite for few images, a single one, constant features, and zeros."""
    torch.manual_seed(known)
    head = nn.Linear(FEATURES, 2, bias=bias)
    groups = scale * torch.randn(known, FEATURES), [scale * torch.ones(new, FEATURES)] * 2
    rows = imprint(head, *groups)
    assert all(value.isfinite().all() for value in rows.values())
    assert {name: value.shape for name, value in rows.items()} == {
        name: value.shape for name, value in head.named_parameters()
    }


def test_a_class_like_all_others_has_no_direction() -> None:
    """A class like all others gets a row of zeros, and the bias of a class as frequent as others."""
    head = nn.Linear(FEATURES, 3)
    known = torch.randn(50, FEATURES)
    rows = imprint(head, known, [known])
    assert not rows["weight"].any()
    assert rows["bias"].isfinite()


def test_the_same_bits() -> None:
    """The rows depend only on their inputs, bit for bit, and draw no random numbers."""
    groups = clusters(50, 50, 10)
    head = trained(groups[:2])
    state = torch.get_rng_state()
    one, other = (imprint(head, torch.cat(groups[:2]), groups[2:]) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], other[name]) for name in one)
