"""Pictures in addresses, as pages hold them."""

import base64
from io import BytesIO

from PIL import Image


def decoded(uri: str) -> Image.Image:
    """The picture in an address, which says what it is."""
    kind, _, data = uri.partition(",")
    image = Image.open(BytesIO(base64.b64decode(data, validate=True)))
    assert kind == f"data:{image.get_format_mimetype()};base64"
    return image
