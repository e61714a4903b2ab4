{{- /* The one place where a Pod's end is added up: endpoints are withdrawn, open requests finish, margin. */ -}}
{{- define "inwit.graceSeconds" -}}
{{- with .Values.shutdown -}}
{{ add (int .preStopSeconds) (int .drainSeconds) (int .marginSeconds) }}
{{- end -}}
{{- end -}}

{{- /* vLLM outlives the longest request that a gateway may still have open to it. */ -}}
{{- define "inwit.vllmGraceSeconds" -}}
{{- with .Values.shutdown -}}
{{ add (int .preStopSeconds) (int .drainSeconds) (mul 2 (int .marginSeconds)) }}
{{- end -}}
{{- end -}}

{{- define "inwit.vllmDrainSeconds" -}}
{{- with .Values.shutdown -}}
{{ add (int .drainSeconds) (int .marginSeconds) }}
{{- end -}}
{{- end -}}

{{- define "inwit.preStop" -}}
{{- with int .Values.shutdown.preStopSeconds -}}
lifecycle:
  preStop: {sleep: {seconds: {{ . }}}}
{{- end -}}
{{- end -}}

{{- /* A gateway has started once its model server has answered: with vLLM beside it, once vLLM has started. */ -}}
{{- define "inwit.startupSeconds" -}}
{{- if .Values.vllm.enabled -}}
{{ max (int .Values.probes.startupSeconds) (int .Values.vllm.startupSeconds) }}
{{- else -}}
{{ int .Values.probes.startupSeconds }}
{{- end -}}
{{- end -}}
