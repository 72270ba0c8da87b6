/** A promise that is rejected, and that nobody handles, fails the test that runs: mocha would pass it over in silence. */
process.on('unhandledRejection', (reason) => {
  throw reason
})
