import {Problem} from '#llmsim/errors.js'

/** The Problem that a call throws; any other outcome fails the test. */
export const problemOf = async (run: () => unknown): Promise<Problem> => {
  try {
    await run()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
