/** Saves two images in turn to the file that it is given, again and again, and says so before each. */
import { fileState } from "../../src/stores/file-state.ts"

const state = fileState(process.argv[2]!)
for (let at = 0; ; at++) {
  process.stdout.write("saving\n")
  await state.save(new Uint8Array(24_000_000).fill(97 + (at % 2)))
}
