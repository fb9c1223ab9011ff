/* run_folder.h - the files in the folder of a training run (trainer.h says what is in them). */
#ifndef ANCHORD_ENGINE_TRAINING_RUN_FOLDER_H
#define ANCHORD_ENGINE_TRAINING_RUN_FOLDER_H

#define RUN_CONFIG     "config.json"
#define RUN_MANIFEST   "manifest.jsonl"   /* of a collection's pictures, which RUN_PICTURES holds */
#define RUN_VALIDATION "validation.jsonl" /* the same of those to judge by */
#define RUN_PICTURES   "pictures"
#define RUN_LEARNED    "learned.jsonl" /* what a stage and those before it learned from */
#define RUN_PICKS      "picks.json"
#define RUN_LOG        "log.jsonl"
#define RUN_CHECKPOINT "checkpoint.safetensors"
#define RUN_FIRST      "first.safetensors"
#define RUN_BEST       "best.safetensors"
#define RUN_LAST       "last.safetensors"
#define RUN_SHEET      "sheet.png"
#define RUN_REPORT     "report.html"

#endif
