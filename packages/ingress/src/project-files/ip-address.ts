/** Four decimal numbers, without leading zeros, which some read as octal. */
export const isIPv4 = (text: string): boolean =>
  /^(?:(?:0|[1-9]\d{0,2})(?:\.(?!$)|$)){4}$/.test(text) && text.split(".").every((part) => Number(part) < 256)

/** Without brackets and zone. */
export const isIPv6 = (text: string): boolean =>
  /^[\da-f:.]{2,45}$/i.test(text) && text.includes(":") && URL.canParse(`http://[${text}]`)
