// Reads objects as a JSON list from standard input; says what is wrong with each, and ends with 1 if
// anything is. Kinds that it has no definition of are wrong too.
import { readFileSync } from "node:fs";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";

const models = { PrometheusRule, ServiceMonitor, ScaledObject, HTTPRoute };
let wrong = 0;
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${object.kind} ${object.metadata.name}`;
  try {
    const Model = models[object.kind];
    if (Model === undefined) throw new Error("no definition of this kind");
    if (Model.apiVersion !== undefined && Model.apiVersion !== object.apiVersion)
      throw new Error(`apiVersion is not ${Model.apiVersion}`);
    new Model(object).validate();
  } catch (error) {
    wrong += 1;
    console.error(`${name}: ${error.message}`);
  }
}
process.exit(wrong === 0 ? 0 : 1);
