let dateText = ""
let dateSecond = 0
/** The time as RFC 9110 §5.6.7 writes it; made once a second, because every response needs it. */
export const httpDate = (): string => {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    dateText = new Date(second * 1000).toUTCString()
  }
  return dateText
}
