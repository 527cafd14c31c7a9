//! What happens where there is no room: nothing is lost, the order of records does not matter, and columns a table
//! has or declares keep their place.
