"""The MD5s of many short texts at once: an array a step, which takes a fifth of the time of one call a text."""

from hashlib import md5

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

# RFC 1321: what is added in each step, by how many bits it turns, which word of the text it takes; what it begins with.
ADDED = np.floor(np.abs(np.sin(np.arange(1, 65))) * 2.0**32).astype(np.uint32)
TURNS = np.repeat(np.array([[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]], np.uint32), 4, axis=0)
TAKEN = [start + by * step for start, by in ((0, 1), (1, 5), (5, 3), (0, 7)) for step in range(16)]
BEGIN = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], np.uint32)
# The longest text that is one block.
LONGEST = 55
# Texts at a time, so that they stay at hand.
TEXTS = 2**14
# Below this, one call a text is faster.
FEW = 2**10


def md5_of_each(texts: npt.NDArray[np.uint8]) -> Words:
    """The MD5 of each of `texts`, of one length up to `LONGEST`, shape (n, length): as numbers, shape (n, 4)."""
    if len(texts) < FEW:
        digests = b"".join(md5(text.tobytes()).digest() for text in texts)
        return np.frombuffer(digests, "<u4").astype(np.uint32).reshape(-1, 4)
    parts = [_block(texts[start : start + TEXTS]) for start in range(0, len(texts), TEXTS)]
    return np.concatenate(parts)


def _block(texts: npt.NDArray[np.uint8]) -> Words:
    count, length = texts.shape
    padded = np.zeros((count, 64), np.uint8)
    padded[:, :length], padded[:, length] = texts, 0x80
    padded[:, 56:58] = np.array([8 * length], "<u2").view(np.uint8)
    words = np.ascontiguousarray(padded.view("<u4").T)
    one, two, three, four = (np.full(count, number, np.uint32) for number in BEGIN)
    for step, (added, turn, taken) in enumerate(zip(ADDED, TURNS.ravel(), TAKEN, strict=True)):
        if step < 16:
            mixed = four ^ (two & (three ^ four))
        elif step < 32:
            mixed = three ^ (four & (two ^ three))
        elif step < 48:
            mixed = two ^ three ^ four
        else:
            mixed = three ^ (two | ~four)
        mixed += one + added + words[taken % 16]
        turned = (mixed << turn) | (mixed >> (np.uint32(32) - turn))
        one, two, three, four = four, two + turned, two, three
    return np.column_stack([one, two, three, four]) + BEGIN
