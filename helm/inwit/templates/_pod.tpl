{{- /* Why: a Service named inwit would come as INWIT_PORT=tcp://…, which is a setting, and one named vllm
as VLLM_PORT. No Pod gets these variables. */ -}}
{{- define "inwit.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "inwit.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 10001
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "inwit.gatewayImage" -}}
image: {{ include "inwit.image" (dict "image" .Values.image "version" .Chart.AppVersion) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{- /* One variable from a Secret. Takes (dict "name" NAME "from" VALUES). */ -}}
{{- define "inwit.secretEnv" -}}
{{- if .from.existingSecret }}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .from.existingSecret }}, key: {{ .from.key }}}}
{{- end }}
{{- end -}}

{{- /* What the gateway and its doctor are told; the settings themselves come from the ConfigMap. */ -}}
{{- define "inwit.env" -}}
{{- include "inwit.secretEnv" (dict "name" "INWIT_DATABASE_URL" "from" .Values.database) }}
{{- include "inwit.secretEnv" (dict "name" "INWIT_REDIS_URL" "from" .Values.redis) }}
{{- include "inwit.secretEnv" (dict "name" "INWIT_CACHE_SECRET" "from" .Values.cache) }}
{{- include "inwit.secretEnv" (dict "name" "INWIT_LEDGER_KEY" "from" .Values.signing) }}
{{- include "inwit.secretEnv" (dict "name" "INWIT_CONTENT_KEY" "from" .Values.content) }}
{{- include "inwit.secretEnv" (dict "name" "INWIT_MODEL_API_KEY" "from" .Values.model) }}
{{- include "inwit.secretEnv" (dict "name" "INWIT_OIDC_CLIENT_SECRET" "from" .Values.oidc) }}
{{- include "inwit.secretEnv" (dict "name" "INWIT_CLASSIFIERS" "from" .Values.classifiers) }}
{{- if .Values.otlp.endpoint }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ .Release.Namespace }},k8s.deployment.name={{ include "inwit.name" . }},k8s.pod.name=$(POD_NAME)
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "inwit.envFrom" -}}
- configMapRef: {name: {{ include "inwit.name" . }}}
{{- with .Values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Whole folders, no subPath: only these follow a change of their ConfigMap. */ -}}
{{- define "inwit.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if or .Values.policies .Values.existingPolicies }}
- {name: policies, mountPath: /etc/inwit/policies, readOnly: true}
{{- end }}
{{- if .Values.calibrations }}
- {name: calibrations, mountPath: /etc/inwit/calibrations, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "inwit.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .Values.tmpSize }}}
{{- if or .Values.policies .Values.existingPolicies }}
- name: policies
  configMap: {name: {{ default (printf "%s-policies" (include "inwit.name" .)) .Values.existingPolicies }}}
{{- end }}
{{- if .Values.calibrations }}
- name: calibrations
  configMap: {name: {{ include "inwit.name" . }}-calibrations}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
