"""Running a study: which trials it lacks, who trains them, and what is stored of them."""
