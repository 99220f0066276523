"""Pictures in data URIs, as pages contain them."""

import base64
from io import BytesIO

from PIL import Image


def decoded(uri: str) -> Image.Image:
    """Decode the picture in a data URI, and check its format."""
    kind, _, data = uri.partition(",")
    image = Image.open(BytesIO(base64.b64decode(data, validate=True)))
    assert kind == f"data:{image.get_format_mimetype()};base64"
    return image
