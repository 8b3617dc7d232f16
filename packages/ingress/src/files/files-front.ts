import type { Exported, ExportInput, Front, GeneratedFile } from "../fronts/front.ts"
import { FrontRefused } from "../resource/errors.ts"
import { planFiles } from "./generated-files.ts"
import { HandEdited } from "./hand-edited.ts"

/** A front that reads its configuration from files. */
export interface FilesFrontOptions {
  readonly name: string
  /** Made if it is not there. */
  readonly folder: string
  readonly export: (input: ExportInput) => Exported
  /** The front's own checker, over the files before they are in their place. Rejects if they are not valid. */
  readonly validate?: (files: readonly GeneratedFile[], signal: AbortSignal) => Promise<void>
  /** After the files are in their place: whether the front has taken them over. Default: the files are there. */
  readonly readBack?: (signal: AbortSignal) => Promise<void>
  /** Also over files that were changed by hand. Default false. */
  readonly overwrite?: boolean
}

/** Drives a front by the files in its folder: only what has changed is written, each file whole. */
export const filesFront = (options: FilesFrontOptions): Front => {
  const { name, folder, overwrite = false } = options
  return {
    name,
    plan: async (input) => {
      const { files, problems } = options.export(input)
      const secrets = input.ingresses.flatMap(({ rules }) =>
        rules.flatMap(({ requireHeader }) => requireHeader?.value ?? []),
      )
      const plan = await planFiles(folder, files, { secrets, overwrite }).catch((cause: unknown) => {
        if (cause instanceof HandEdited) throw new FrontRefused({ front: name, reason: cause.message, cause })
        throw cause
      })
      return {
        problems,
        diff: plan.diff,
        validate: async (signal) => options.validate?.(files, signal),
        apply: () => plan.apply(),
        readBack: async (signal) => {
          await plan.readBack()
          await options.readBack?.(signal)
        },
        rollBack: () => plan.rollBack(),
      }
    },
  }
}
