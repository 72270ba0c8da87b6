/** What every command shares. */
import {Command} from '@oclif/core'

export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true
}
