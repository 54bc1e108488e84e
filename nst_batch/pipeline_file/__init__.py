"""The pipeline file: YAML to ``PipelineSpec``, with its pictures found and every mistake in words."""
