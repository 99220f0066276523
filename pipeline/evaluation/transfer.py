"""What learning on new images does to old ones, and the other way round, over the generations of a chain of bases.

R[i, j] is the accuracy of the model of generation i on the slice of test images that came in generation j; T is the
generation of the model that is measured. R[T, j] and R[T − 1, j] are measured on the same images, today's. Those of
earlier models are what was recorded then: where test images were removed or relabelled since, they are of slightly
other ones.
Slices without images do not count.
"""

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from pipeline.lineage.recorded_metrics import Measurements, TransferFigures, by_generation

# A row of R: the accuracies of one model, by slice; or the accuracy on each slice of the model it belongs to.
Accuracies = Mapping[int, float]


def forgetting(now: Accuracies, earlier: Sequence[Accuracies]) -> float | None:
    """The mean over the old slices j < T of how far R[T, j] is below the best that an earlier model of the chain had.

    mean_j (max_i<T R[i, j] − R[T, j]): Chaudhry et al. 2018, "Riemannian walk for incremental learning", arXiv
    1801.10112. `now` are the R[T, j] of the old slices, `earlier` the rows of what earlier models are known; where that
    is the base alone, it is the loss against the base. Negative where the model is better than all before it were.
    """
    lost = [max(row[old] for row in earlier if old in row) - accuracy for old, accuracy in now.items()]
    return fmean(lost) if lost else None


def backward_transfer(now: Accuracies, learned: Accuracies) -> float | None:
    """The mean over the old slices j < T of R[T, j] − R[j, j]: what learning since then has done to them.

    Lopez-Paz & Ranzato 2017, "Gradient episodic memory for continual learning", arXiv 1706.08840. `now` are the
    R[T, j], `learned` the R[j, j] that are known. None where one of them is not, or where there are no old slices.
    """
    return _mean_difference(now, learned, now.keys())


def forward_transfer(before: Accuracies, chance: Accuracies, slices: Collection[int]) -> float | None:
    """The mean over the slices 1 < j ≤ T of R[j − 1, j] − b_j: what was known of images before any of them was learned.

    Lopez-Paz & Ranzato 2017, as above. `before` are the R[j − 1, j] that are known; `chance` are the b_j, there the
    accuracy of an untrained network, here 1 / the number of classes of generation j. None where one of them is unknown.
    """
    return _mean_difference(before, chance, slices)


def over_generations(metrics: Measurements, generation: int, recorded: Mapping[int, Measurements]) -> TransferFigures:
    """Forgetting, backward and forward transfer of the model of `generation` that `metrics` is of, in its final form.

    `recorded` is what was recorded of its ancestors, by their generation, as far as that is known.
    """
    all_slices, base = by_generation(metrics, "accuracy"), by_generation(metrics, "base_accuracy")
    now = {j: accuracy for j, accuracy in all_slices.items() if j < generation}
    then = {i: by_generation(was, "accuracy") for i, was in recorded.items()}
    # The base is measured on today's images, which is better than what was recorded of it.
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
