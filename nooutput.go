package reprise

// NoOutput makes of a function that returns nothing but an error one that can be bound to
// an activity or an orchestration whose output is [None]:
//
//	Release = reprise.NewActivity[string, reprise.None]("stock.release")
//
//	reprise.Bind(registry, Release, reprise.NoOutput(stock.Release)) // func(context.Context, string) error
func NoOutput[By, In any](fn func(By, In) error) func(By, In) (None, error) {
	if fn == nil {
		return nil // which Bind refuses
	}
	return func(by By, in In) (None, error) { return None{}, fn(by, in) }
}
