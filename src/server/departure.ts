/** When a client has all of its answer, or is gone. */
import type {IncomingMessage, ServerResponse} from 'node:http'

/**
 * Calls `then` once. A response tells when its connection closes, but not while it waits behind another one on the same
 * connection (pipelining): then it has no connection yet, so that is asked itself.
 */
export function onDeparture(
  request: IncomingMessage,
  response: ServerResponse,
  then: () => void,
): void {
  if (response.socket !== null) {
    response.once('close', then)
    return
  }
  const {socket} = request
  // One for each request that waits, and no limit to them.
  socket.setMaxListeners(0)
  const leave = (): void => {
    socket.off('close', leave)
    response.off('close', leave)
    then()
  }
  socket.once('close', leave)
  response.once('close', leave)
}
