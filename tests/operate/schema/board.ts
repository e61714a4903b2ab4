// What a dashboard's JSON must be, by Grafana's own types. The test puts `const board: Board = …` below.
import type { AnnotationQuery, Dashboard } from "@grafana/schema";

// JSON has no enums: the values of an enum are its strings.
type Plain<T> = T extends string
  ? `${T}`
  : T extends (infer U)[]
    ? Plain<U>[]
    : T extends object
      ? { [K in keyof T]: Plain<T[K]> }
      : T;

// `expr` is what Grafana's data source for Prometheus reads of an annotation; the types leave it out.
type Annotations = { list?: (Plain<AnnotationQuery> & { expr?: string })[] };
export type Board = Omit<Plain<Dashboard>, "annotations"> & { annotations?: Annotations };
