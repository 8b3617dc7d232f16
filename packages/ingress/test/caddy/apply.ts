import type { ExportInput, Front, FrontPlan } from "../../src/fronts/front.ts"

const never = new AbortController().signal

/** A plan with its steps as a caller without a deadline takes them. */
export const planOf = async (front: Front, input: ExportInput) => {
  const plan: FrontPlan = await front.plan(input, { signal: never })
  return {
    problems: plan.problems,
    diff: plan.diff,
    validate: () => plan.validate(never),
    apply: () => plan.apply(never),
    readBack: () => plan.readBack(never),
    rollBack: () => plan.rollBack(never),
  }
}

/** All of it, as `createIngresses` does it. Gives the diff. */
export const applyTo = async (front: Front, input: ExportInput): Promise<string> => {
  const plan = await planOf(front, input)
  if (plan.diff === "") return ""
  await plan.validate()
  await plan.apply()
  await plan.readBack()
  return plan.diff
}
