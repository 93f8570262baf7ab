"""Row scheduling: order by shared prefix, start times by price."""
