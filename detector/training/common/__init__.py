"""What all trainings share: recipe base, session, folder, batches, schedules, augmentation."""
