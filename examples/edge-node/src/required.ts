/** A variable of the environment. Ends the process with a sentence if it is not set. */
export const required = (name: string, example: string): string => {
  const value = process.env[name]
  if (value === undefined || value === "") {
    console.error(`${name} must be set, for example: ${example}`)
    process.exit(1)
  }
  return value
}
