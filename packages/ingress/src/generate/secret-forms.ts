/** A secret as the writers of the formats write it: as it is, between quotation marks of JSON and YAML, and with Compose's `$$`. */
export const secretForms = (secret: string): readonly string[] => {
  const quoted = JSON.stringify(secret).slice(1, -1)
  return [quoted, secret, quoted.replaceAll("$", "$$$$"), secret.replaceAll("$", "$$$$"), secret.replaceAll("'", "''")]
}
