"""The page that the Hub shows of a saved network."""

TEMPLATE = """---
{{ card_data }}
---
# AG-Net on {{ backbone }}

{{ num_classes }} classes: {{ classes }}.
{%- if task.thresholds is defined %} An image has any number of them: outputs are sigmoids, and the
thresholds are {{ task.thresholds or "0.5 for all" }}.{% endif %}

| metric | value |
|---|---|
{% for name, value in metrics.items() -%}
| {{ name }} | {{ "%.4f" | format(value) }} |
{% else -%}
| not measured | |
{% endfor %}
Variant `{{ variant }}`, {{ num_clusters }} clusters ({{ num_regions }} regions), regions from
`{{ regions.source }}` with detector `{{ regions.detector }}`. Images: {{ data_config.input_size }},
normalized with mean {{ data_config.mean }} and std {{ data_config.std }}.

```python
from agnet_vision import load_model

model = load_model("path/or/owner/name")
regions = model.proposer(frames)  # 8-bit RGB arrays of what the network shall see
logits = model(images, regions)  # the same, (B, 3, H, W), normalized; without regions: slower
```

Method: Bera, Wharton, Liu, Bessis, Behera, *Attend and Guide (AG-Net)*, IEEE TIP 30, 2021.
"""
