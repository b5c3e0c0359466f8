"""Google's weights on 60 photographs of VOC: tables of results.md."""

from result_tables.settings import by_class, by_setting

WIDTHS = {"1": "width1", "0.5": "width05"}
_SETTINGS = {
    "stride16": "single scale, output stride 16",
    "stride8": "output stride 8",
    "flips": "flips",
    "scales_flips": "scales 0.5, 1, 1.5, and flips",
    "stride8_scales_flips": "output stride 8, scales 0.5 to 1.75, and flips",
    "crf": "CRF, `voc_v2_resnet101`",
    "tiles": "tiles of 321, overlap 96",
}
_EVALUATIONS = {
    f"IoU, width {width}": f"voc/{name}_stride16" for width, name in WIDTHS.items()
}
TABLES = {
    "voc_width1": lambda: by_setting("voc/width1", _SETTINGS),
    "voc_width05": lambda: by_setting("voc/width05", _SETTINGS),
    "voc_classes": lambda: by_class(_EVALUATIONS),
}
