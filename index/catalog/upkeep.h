/* upkeep.h - what the engine behind the catalogue needs done for itself, between two groups of commits.
 *
 * An engine may acknowledge a commit before the change has its place: SQLite writes it to a log and copies that into
 * the file later.  Bytes that are still to be copied are owed: the disk must have room for them.  The store says when
 * there is time; the engine knows what to do with it.
 */
#ifndef ANCHORD_INDEX_CATALOG_UPKEEP_H
#define ANCHORD_INDEX_CATALOG_UPKEEP_H

enum upkeep {
    UPKEEP_LOOK,   /* nothing: only how much is owed; cannot fail */
    UPKEEP_COMMIT, /* after a group: only what must not wait any longer */
    UPKEEP_SETTLE, /* all that is owed, as far as readers allow; room that was taken for it is kept for the next commits */
    UPKEEP_SHRINK, /* the same, and the room goes back to the disk */
    UPKEEP_RESERVE /* once: such room is kept from now on, also when the catalogue is closed.  On a full disk there could
                     * be no commit without it */
};

#endif
