{{- /* Up at once, down one gateway a minute: what is cut short is an answer. */ -}}
{{- define "inwit.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - {type: Percent, value: 100, periodSeconds: 30}
    - {type: Pods, value: 2, periodSeconds: 30}
scaleDown:
  stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownSeconds | int }}
  policies:
    - {type: Pods, value: 1, periodSeconds: 60}
{{- end -}}
