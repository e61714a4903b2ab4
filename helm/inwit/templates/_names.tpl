{{- define "inwit.name" -}}
{{- default (printf "%s-inwit" .Release.Name | trunc 52 | trimSuffix "-") .Values.fullnameOverride -}}
{{- end -}}

{{- /* Who an object belongs to. Takes (dict "top" $ "part" "gateway"). */ -}}
{{- define "inwit.selector" -}}
app.kubernetes.io/name: inwit
app.kubernetes.io/instance: {{ .top.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "inwit.labels" -}}
{{ include "inwit.selector" . }}
app.kubernetes.io/version: {{ .top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
app.kubernetes.io/part-of: inwit
helm.sh/chart: {{ printf "%s-%s" .top.Chart.Name .top.Chart.Version | replace "+" "_" }}
{{- with .top.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "inwit.metadata" -}}
name: {{ include "inwit.name" .top }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .top.Release.Namespace }}
labels:
  {{- include "inwit.labels" . | nindent 2 }}
{{- end -}}

{{- /* Takes (dict "image" .Values.image "version" .Chart.AppVersion). */ -}}
{{- define "inwit.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .version .image.tag }}
{{- end -}}
{{- end -}}

{{- define "inwit.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "inwit.name" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- /* The least number of gateways at any time; the budget and the spread go by it. */ -}}
{{- define "inwit.leastReplicas" -}}
{{- if .Values.autoscaling.hpa.enabled -}}{{ .Values.autoscaling.hpa.minReplicas | int }}
{{- else if .Values.autoscaling.keda.enabled -}}{{ .Values.autoscaling.keda.minReplicas | int }}
{{- else -}}{{ .Values.replicas | int }}
{{- end -}}
{{- end -}}
