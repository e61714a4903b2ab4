{{- /* One way out: takes {to, ports}; TCP unless it says `dns`. */ -}}
{{- define "inwit.way" -}}
- to:
    {{- toYaml .to | nindent 4 }}
  ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- if $.dns }}
    - {protocol: UDP, port: {{ . }}}
    {{- end }}
    {{- end }}
{{- end -}}

{{- define "inwit.wayToDns" -}}
{{ include "inwit.way" (dict "to" .Values.networkPolicy.dns.to "ports" .Values.networkPolicy.dns.ports "dns" true) }}
{{- end -}}

{{- /* All that the gateway, and its doctor, may connect to. */ -}}
{{- define "inwit.egress" -}}
{{- include "inwit.wayToDns" . }}
{{ include "inwit.way" .Values.networkPolicy.database }}
{{ include "inwit.way" .Values.networkPolicy.redis }}
{{- if .Values.vllm.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "inwit.selector" (dict "top" . "part" "vllm") | nindent 10 }}
  ports:
    - {protocol: TCP, port: 8000}
{{- else }}
{{ include "inwit.way" .Values.networkPolicy.model }}
{{- end }}
{{- if .Values.otlp.endpoint }}
{{ include "inwit.way" .Values.networkPolicy.otlp }}
{{- end }}
{{- range .Values.networkPolicy.extra }}
{{ include "inwit.way" . }}
{{- end }}
{{- end -}}
