"""Where images are."""

from virttest import absent, core

__getattr__ = absent(__name__)


def get_image_filename(params, root_dir=None, basename=False):
    """Return the file that stands for the image with these parameters, and may be written to.

    It is a copy-on-write overlay of the image where that one is kept: what a test writes is gone after it. Where
    ``image_name`` is an absolute path it is just that, with the format as its extension: the test's own file.

    :param params: the image's own view of the parameters: ``params.object_params("image1")``.
    :param basename: only the last part of the path.
    """
    del root_dir  # the core knows where images are
    name = params.get("image_name", "")
    if name.startswith("/"):
        path = f"{name}.{params.get('image_format', 'qcow2')}"
    else:
        path = core.call("image.path", params=params.handed_over() if hasattr(params, "handed_over") else params)
    return path.rsplit("/", 1)[-1] if basename else path
