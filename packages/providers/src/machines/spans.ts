import * as Effect from "effect/Effect"
import { machineRef } from "../contract/errors.ts"
import type { Machine } from "../contract/machine-provider.ts"

/** Puts a call to a provider into a span of a tracer. The call's result is no part of it: a tracer would record it, secrets included. */
export type Spans = <E>(name: string, machine: Machine, call: Effect.Effect<void, E>) => Effect.Effect<void, E>

/** No spans, for programs that nobody can give a tracer. */
export const noSpans: Spans = (_name, _machine, call) => call

/** A span of Effect's tracer for each call. */
export const effectSpans: Spans = (name, machine, call) =>
  Effect.withSpan(call, name, { attributes: { ...machineRef(machine) } })
