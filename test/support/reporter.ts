/** mocha's spec output, closed by one plain line that a machine can count: `N passed, N failed`. */
import {reporters} from 'mocha'

// The default export is what mocha takes from a reporter given by path.
export default class CountingReporter extends reporters.Spec {
  override epilogue(): void {
    super.epilogue()
    const {passes = 0, failures = 0, pending = 0} = this.stats ?? {}
    const skipped = pending > 0 ? `, ${pending} skipped` : ''
    reporters.Base.consoleLog(`${passes} passed, ${failures} failed${skipped}`)
  }
}
