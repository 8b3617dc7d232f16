import { nearest } from "@project-ingress/forward/internal"
import { pathTo } from "./frozen-json.ts"

/** What is wrong first in a value: where, and what is accepted there. */
export interface Misfit {
  readonly field: string
  readonly accepted: string
}

/** Looks at plain data. `undefined`: it fits. */
export type Shape = (value: unknown, path: string) => Misfit | undefined

/** A value that a predicate takes. `accepted` is a noun phrase. */
export const being =
  (fits: (value: unknown) => boolean, accepted: string): Shape =>
  (value, path) =>
    fits(value) ? undefined : { field: path, accepted }

/** A string that a pattern takes whole, of `1` to `max` UTF-16 units. */
export const text = (pattern: RegExp, accepted: string, max = 256): Shape =>
  being((value) => typeof value === "string" && value.length <= max && pattern.test(value), accepted)

export const integer = (from: number, to: number = Number.MAX_SAFE_INTEGER): Shape =>
  being(
    (value) => Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to,
    to === Number.MAX_SAFE_INTEGER ? `an integer from ${from} up` : `an integer from ${from} to ${to}`,
  )

export const oneOf = (...values: readonly (string | number)[]): Shape =>
  being((value) => (values as readonly unknown[]).includes(value), values.join(", "))

export const flag: Shape = being((value) => typeof value === "boolean", "true or false")

/** An object with these fields and no others. */
export const fields = (shapes: Readonly<Record<string, Shape>>, required: readonly string[] = []): Shape => {
  const names = Object.keys(shapes)
  return (value, path) => {
    if (!isObject(value)) return { field: path, accepted: "an object" }
    for (const [name, inner] of Object.entries(value)) {
      const at = pathTo(path, name)
      if (!Object.hasOwn(shapes, name)) {
        const meant = nearest(name, names)
        const hint = meant === undefined ? `; the fields are ${names.join(", ")}` : ` (did you mean ${meant}?)`
        return { field: at, accepted: `absent${hint}` }
      }
      const misfit = shapes[name]!(inner, at)
      if (misfit !== undefined) return misfit
    }
    // After the loop: a misspelt field is named rather than the one that is missing.
    for (const name of required) {
      if (!Object.hasOwn(value, name)) return shapes[name]!(undefined, pathTo(path, name))
    }
    return undefined
  }
}

/** An object whose names are data. */
export const map =
  (isName: (name: string) => boolean, name: string, shape: Shape): Shape =>
  (value, path) => {
    if (!isObject(value)) return { field: path, accepted: "an object" }
    for (const [key, inner] of Object.entries(value)) {
      const at = pathTo(path, key)
      const misfit = isName(key) ? shape(inner, at) : { field: at, accepted: `named by ${name}` }
      if (misfit !== undefined) return misfit
    }
    return undefined
  }

export const list =
  (shape: Shape, from = 0): Shape =>
  (value, path) => {
    if (!Array.isArray(value)) return { field: path, accepted: "an array" }
    if (value.length < from) return { field: path, accepted: `an array of ${from} or more` }
    for (const [at, element] of value.entries()) {
      const misfit = shape(element, pathTo(path, `${at}`))
      if (misfit !== undefined) return misfit
    }
    return undefined
  }

/** The first shape if it fits, else what the second one says. */
export const either =
  (first: Shape, second: Shape, accepted: string): Shape =>
  (value, path) => {
    if (first(value, path) === undefined) return undefined
    // A wrong object is described by its field; anything else by both ways.
    return isObject(value) ? second(value, path) : { field: path, accepted }
  }

/** An object that is no array and not null. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** An integer from 0 up, of those that a double holds exactly. */
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
