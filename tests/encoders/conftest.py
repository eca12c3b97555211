"""What tests of several encoders use."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder of the module's own, where ONNX Runtime is installed: graphs are exported once."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("EMOBRIDGE_CACHE", str(folder))
        yield folder
