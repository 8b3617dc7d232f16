/** The labels of one time series. */
export type Labels = Readonly<Record<string, string>>

/** What of `effect/Metric` is used here, which this package does not import: its importers give it. */
export interface MetricApi<Context> {
  readonly counter: (
    name: string,
    options: { readonly description: string; readonly attributes: Labels; readonly incremental: true },
  ) => { readonly updateUnsafe: (input: number, context: Context) => void }
  readonly gauge: (
    name: string,
    options: { readonly description: string; readonly attributes: Labels },
  ) => { readonly updateUnsafe: (input: number, context: Context) => void }
  readonly histogram: (
    name: string,
    options: { readonly description: string; readonly attributes: Labels; readonly boundaries: readonly number[] },
  ) => { readonly updateUnsafe: (input: number, context: Context) => void }
}

/** Adds to a time series of a metric. The labels' values must be of closed sets, in the same order each time. */
export type Update = (value: number, labels?: Labels) => void

/** Makes metrics, whose time series are created once per set of labels and updated directly. */
export interface Instruments {
  readonly counter: (name: string, description: string, unit?: "By") => Update
  readonly gauge: (name: string, description: string) => Update
  readonly histogram: (name: string, description: string, boundaries: readonly number[]) => Update
}

/** Instruments in the registry of `context`. `unit` is an attribute that exporters read and no label. */
export const effectInstruments = <Context>(
  { counter, gauge, histogram }: MetricApi<Context>,
  context: Context,
): Instruments => {
  const updates = (
    make: (attributes: Labels) => { updateUnsafe: (input: number, context: Context) => void },
  ): Update => {
    // By the labels' values: `Metric.withAttributes` would merge attributes for each request.
    const known = new Map<string, { updateUnsafe: (input: number, context: Context) => void }>()
    return (value, labels = none) => {
      let key = ""
      for (const name in labels) key += `${labels[name]}\0`
      let series = known.get(key)
      if (series === undefined) known.set(key, (series = make(labels)))
      series.updateUnsafe(value, context)
    }
  }
  return {
    counter: (name, description, unit) =>
      updates((labels) =>
        counter(name, { description, attributes: unit ? { ...labels, unit } : labels, incremental: true }),
      ),
    gauge: (name, description) => updates((attributes) => gauge(name, { description, attributes })),
    histogram: (name, description, boundaries) =>
      updates((labels) => histogram(name, { description, attributes: { ...labels, unit: "s" }, boundaries })),
  }
}

const none: Labels = {}
