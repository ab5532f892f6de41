"""What is wrong or notable in a data set: doctor, fixes, summary, duplicates, anchor reach, EDA
report."""
