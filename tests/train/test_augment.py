"""Images changed at random: each change against an answer known beforehand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rai.errors import InputError
from rai.train.augment import LARGEST_ANGLE, NOISE, augmented, rotated, shifted

ALL = ("flip", "rotate", "crop", "noise")


def drawing(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(rows: int = 400, channels: int = 1, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.randn(rows, channels, height, width, generator=drawing(99))


def test_a_quarter_turn_is_rot90() -> None:
    found = images(3, 2)
    assert torch.allclose(rotated(found, torch.full((3,), 90.0)), found.rot90(1, (2, 3)), atol=1e-5)


def test_each_image_has_its_own_angle() -> None:
    found = images(2)
    turned = rotated(found, torch.tensor([0.0, 180.0]))
    assert torch.allclose(turned[0], found[0], atol=1e-5)
    assert torch.allclose(turned[1], found[1].flip((1, 2)), atol=1e-5)


def test_a_turn_in_an_oblong_image_does_not_stretch() -> None:
    square, wide = images(1, height=4, width=4), torch.zeros(1, 1, 4, 10)
    wide[..., 3:7] = square
    turned = rotated(wide, torch.tensor([90.0]))
    assert torch.allclose(turned[..., 3:7], square.rot90(1, (2, 3)), atol=1e-5)


@given(down=st.integers(-3, 3), right=st.integers(-3, 3))
def test_a_shift_moves_every_pixel_and_repeats_the_edge(down: int, right: int) -> None:
    found = images(1, 2, 5, 7)
    moved = shifted(found, torch.tensor([down]), torch.tensor([right]))
    for row in range(5):
        for column in range(7):
            source = found[0, :, min(4, max(0, row - down)), min(6, max(0, column - right))]
            assert torch.equal(moved[0, :, row, column], source)


def test_flip_turns_about_half_of_the_images_whole() -> None:
    found = images()
    flipped = augmented(found, ("flip",), drawing())
    turned = (flipped == found.flip(3)).flatten(1).all(dim=1)
    kept = (flipped == found).flatten(1).all(dim=1)
    assert bool((turned ^ kept).all())
    assert 150 <= int(turned.sum()) <= 250


def test_crop_reaches_every_shift_of_an_eighth_and_no_other() -> None:
    ramp = torch.arange(16.0).repeat(400, 1, 16, 1)
    seen = augmented(ramp, ("crop",), drawing())[:, 0, 8, 8] - 8
    assert set(seen.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}


def test_rotate_turns_to_both_sides_and_never_further_than_it_says() -> None:
    field = torch.linspace(-1, 1, 33)
    ramp = field.expand(33, 33).repeat(300, 1, 1, 1)
    turned = augmented(ramp, ("rotate",), drawing())
    rise = (turned[:, 0, 17, 16] - turned[:, 0, 15, 16]) / (2 * float(field[1] - field[0]))
    angles = torch.rad2deg(torch.asin(rise))
    assert float(angles.min()) < -0.9 * LARGEST_ANGLE
    assert float(angles.max()) > 0.9 * LARGEST_ANGLE
    assert float(angles.abs().max()) <= LARGEST_ANGLE + 1e-2


def test_noise_is_as_wide_as_it_says_for_each_image_by_itself() -> None:
    bright = images(2, 1, 100, 100) * torch.tensor([1.0, 50.0])[:, None, None, None]
    added = augmented(bright, ("noise",), drawing()) - bright
    for image, noise in zip(bright, added, strict=True):
        assert float(noise.std() / image.std()) == pytest.approx(NOISE, rel=0.03)
        assert abs(float(noise.mean() / image.std())) < 5 * NOISE / 100


@pytest.mark.parametrize("which", [*((each,) for each in ALL), ALL])
def test_what_happens_to_an_image_does_not_hang_on_other_rows(which: tuple[str, ...]) -> None:
    found, other = images(6, 3), images(6, 3)
    other[3:] = 1000.0
    assert torch.equal(augmented(found, which, drawing(4))[:3], augmented(other, which, drawing(4))[:3])


@pytest.mark.parametrize("which", [(each,) for each in ALL])
def test_seeded_and_nothing_is_written_into(which: tuple[str, ...]) -> None:
    found = images(20)
    before, state = found.clone(), torch.get_rng_state()
    first = augmented(found, which, drawing(1))
    assert torch.equal(first, augmented(found, which, drawing(1)))
    assert not torch.equal(first, augmented(found, which, drawing(2)))
    assert torch.equal(found, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == found.shape
    assert first.dtype == found.dtype


def test_changes_come_in_the_order_named() -> None:
    found = images(4)
    both = augmented(found, ("crop", "flip"), drawing(3))
    generator = drawing(3)
    apart = augmented(augmented(found, ("crop",), generator), ("flip",), generator)
    assert torch.equal(both, apart)


def test_no_rows_and_nothing_to_do() -> None:
    assert augmented(torch.zeros(0, 1, 8, 8), ALL, drawing()).shape == (0, 1, 8, 8)
    table = torch.zeros(3, 2)
    assert augmented(table, (), drawing()) is table


def test_rows_that_are_no_images_are_refused_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        augmented(torch.zeros(3, 2), ("flip",), drawing())
    assert str(caught.value) == (
        "fit.augment: the rows are no images but 3 × 2 numbers; expected rows × channels × height × width; "
        "leave augment out"
    )
    with pytest.raises(InputError, match="whole numbers"):
        augmented(torch.zeros(3, 1, 4, 4, dtype=torch.int64), ("flip",), drawing())


def test_an_unknown_change_is_named() -> None:
    with pytest.raises(InputError, match="fit.augment: is 'mixup'; expected names among flip, rotate, crop, noise"):
        augmented(images(1), ("mixup",), drawing())
