"""Forgetting and transfer: how learning new images affects accuracy on old ones, and the reverse, over generations.

R[i, j] is the accuracy of the model of generation i on the slice of test images that arrived in generation j. T is the
generation of the model that is evaluated. R[T, j] and R[T − 1, j] are measured on the same images, those of today. The
values of earlier models were recorded in their time, so they are of slightly different images if test images were
removed or relabelled since.
Slices without images are ignored.
"""

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from pipeline.lineage.recorded_metrics import Measurements, TransferFigures, by_generation

# A row of R: the accuracies of one model, by slice. Or, by slice, the accuracy of the model that belongs to it.
Accuracies = Mapping[int, float]


def forgetting(now: Accuracies, earlier: Sequence[Accuracies]) -> float | None:
    """Return the mean drop, over the old slices j < T, from the best accuracy of an earlier model to R[T, j].

    mean_j (max_i<T R[i, j] − R[T, j]): Chaudhry et al. 2018, "Riemannian walk for incremental learning", arXiv
    1801.10112. `now` has R[T, j] of the old slices, `earlier` the rows of the earlier models that are known. If only
    the base is known, the result is the loss against the base. It is negative if the model is better than all earlier
    models. None if there are no old slices.
    """
    lost = [max(row[old] for row in earlier if old in row) - accuracy for old, accuracy in now.items()]
    return fmean(lost) if lost else None


def backward_transfer(now: Accuracies, learned: Accuracies) -> float | None:
    """Return the mean of R[T, j] − R[j, j] over the old slices j < T: the effect of later training on old slices.

    Lopez-Paz & Ranzato 2017, "Gradient episodic memory for continual learning", arXiv 1706.08840. `now` has R[T, j],
    `learned` the R[j, j] that are known. None if one of them is unknown, or if there are no old slices.
    """
    return _mean_difference(now, learned, now.keys())


def forward_transfer(before: Accuracies, chance: Accuracies, slices: Collection[int]) -> float | None:
    """Return the mean of R[j − 1, j] − b_j over the slices 1 < j ≤ T: accuracy on images before they are learned.

    Lopez-Paz & Ranzato 2017, "Gradient episodic memory for continual learning", arXiv 1706.08840. `before` has the
    R[j − 1, j] that are known. `chance` has the b_j: the accuracy of an untrained network in that paper, in this code
    1 / the number of classes of generation j. None if one of them is unknown, or if there are no such slices.
    """
    return _mean_difference(before, chance, slices)


def over_generations(metrics: Measurements, generation: int, recorded: Mapping[int, Measurements]) -> TransferFigures:
    """Return forgetting, backward and forward transfer of the model of `generation`, whose measurements are `metrics`.

    `recorded` has the recorded metrics of its ancestors by generation, as far as they are known.
    """
    all_slices, base = by_generation(metrics, "accuracy"), by_generation(metrics, "base_accuracy")
    now = {j: accuracy for j, accuracy in all_slices.items() if j < generation}
    then = {i: by_generation(was, "accuracy") for i, was in recorded.items()}
    # The base is measured again on today's images, so its recorded metrics are not used.
    rows = [row for i, row in then.items() if i < generation - 1]
    learned = {i: row[i] for i, row in then.items() if i in row}
    bases = {i: by_generation(was, "base_accuracy") for i, was in recorded.items() if i > 1}
    before = {i: row[i] for i, row in bases.items() if i in row}
    chance = {i: 1 / len(one["classes"]) for i, one in {**recorded, generation: metrics}.items()}
    learned |= {j: accuracy for j, accuracy in base.items() if j == generation - 1}
    before |= {j: accuracy for j, accuracy in base.items() if j == generation}
    return {
        "forgetting": forgetting(now, [base, *rows]),
        "backward_transfer": backward_transfer(now, learned),
        "forward_transfer": forward_transfer(before, chance, [j for j in all_slices if j > 1]),
    }


def _mean_difference(ones: Accuracies, others: Accuracies, slices: Collection[int]) -> float | None:
    if not slices or not all(j in ones and j in others for j in slices):
        return None
    return fmean(ones[j] - others[j] for j in slices)
