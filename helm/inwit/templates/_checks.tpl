{{- /* What a schema cannot say: values that do not fit together. Each names the values and the remedy. */ -}}
{{- define "inwit.checks" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is empty: name the registry and repository that you pushed the image to." -}}
{{- end -}}
{{- range $part := list "database" "redis" "cache" "signing" "content" -}}
{{- if not (index $.Values $part "existingSecret") -}}
{{- fail (printf "%s.existingSecret is empty: name a Secret that has the key %s. NOTES and README.md tell how to make it." $part (index $.Values $part "key")) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.vllm.enabled .Values.model.url -}}
{{- fail "model.url and vllm.enabled are both set: the one names a model server that is there, the other makes one. Leave one out." -}}
{{- end -}}
{{- if not (or .Values.vllm.enabled .Values.model.url) -}}
{{- fail "model.url is empty: give the model server's address (http://HOST:8000/v1), or set vllm.enabled." -}}
{{- end -}}
{{- if and .Values.vllm.enabled (not .Values.vllm.model) -}}
{{- fail "vllm.model is empty: name the model that vLLM serves." -}}
{{- end -}}
{{- if and .Values.vllm.enabled (not .Values.model.existingSecret) -}}
{{- fail "model.existingSecret is empty: vLLM is not run without a key. Name a Secret that has one." -}}
{{- end -}}
{{- if and .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled -}}
{{- fail "autoscaling.hpa and autoscaling.keda are both enabled: two would fight over the number of gateways. Enable one." -}}
{{- end -}}
{{- with .Values.autoscaling.hpa -}}
{{- if and .enabled (not (or .targetInFlight .targetCPU)) -}}
{{- fail "autoscaling.hpa has nothing to scale by: set targetInFlight or targetCPU." -}}
{{- end -}}
{{- end -}}
{{- range $kind := list "hpa" "keda" -}}
{{- with index $.Values.autoscaling $kind -}}
{{- if and .enabled (lt (int .maxReplicas) (int .minReplicas)) -}}
{{- fail (printf "autoscaling.%s.maxReplicas is below minReplicas." $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.keda.enabled (not .Values.autoscaling.keda.prometheus) -}}
{{- fail "autoscaling.keda.prometheus is empty: KEDA asks Prometheus for inwit_in_flight." -}}
{{- end -}}
{{- $deadline := int (default 60000 .Values.settings.INWIT_DEADLINE_MS) -}}
{{- $record := int (default 5000 .Values.settings.INWIT_RECORD_MS) -}}
{{- /* Before its deadline begins a request's key is looked up (5 s), and its idempotency key claimed. */ -}}
{{- if lt (mul 1000 (int .Values.shutdown.drainSeconds)) (add $deadline (mul 2 $record) 5000) -}}
{{- fail (printf "shutdown.drainSeconds (%d s) is below INWIT_DEADLINE_MS, twice INWIT_RECORD_MS and 5 s together (%d, twice %d and 5000 ms): a rollout would cut answers off. Raise the one or lower the others." (int .Values.shutdown.drainSeconds) $deadline $record) -}}
{{- end -}}
{{- if and .Values.policies .Values.existingPolicies -}}
{{- fail "policies and existingPolicies are both set: policies come from one place. Leave one out." -}}
{{- end -}}
{{- if and .Values.classifiers.existingSecret .Values.settings.INWIT_CLASSIFIERS -}}
{{- fail "classifiers.existingSecret and settings.INWIT_CLASSIFIERS are both set: classifiers come from one place. Leave one out." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty: name the Gateway to attach to." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty: name the host, or every host name would lead here." -}}
{{- end -}}
{{- end -}}
