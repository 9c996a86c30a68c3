"""Which methods of explanation there are, and where each lives. Light: listing them loads none."""

from collections.abc import Mapping
from types import MappingProxyType

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "shapley": "shapley:explain",
        "shap": "shap_methods:kernel",
        "shap.kernel": "shap_methods:kernel",
        "shap.permutation": "shap_methods:permutation",
        "shap.partition": "shap_methods:partition",
        "lime": "lime_original:explain",
        "lime_fast": "lime_fast:explain",
        "integrated_gradients": "gradients:integrated_gradients",
        "gradient_shap": "gradients:gradient_shap",
        "grad_cam": "gradients:grad_cam",
        "occlusion": "gradients:occlusion",
        "layer_conductance": "gradients:layer_conductance",
        "attention": "attention:raw",
        "attention.rollout": "attention:rollout",
        "attention.gradient": "attention:gradient",
    }
)
"""Each method's name and the function `explain(question) -> Attribution` behind it, in a file of `rai.explainers`."""
