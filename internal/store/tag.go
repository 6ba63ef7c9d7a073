package store

import (
	"context"

	"sekisho/internal/ssm"
)

// Resource types of the tags table, in the service's words.
const (
	tagActivation = "Activation"
	tagNode       = "ManagedInstance"
)

// putTags adds tags to a resource that has none of these keys. A key given twice is
// [ErrExists].
func putTags(ctx context.Context, tx runner, resourceType, id string, tags []ssm.Tag) error {
	for _, t := range tags {
		_, err := tx.exec(ctx, `
			insert into tags (resource_type, resource_id, key, value) values ($1, $2, $3, $4)`,
			resourceType, id, t.Key, t.Value)
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteTags takes all tags from a resource.
func deleteTags(ctx context.Context, tx runner, resourceType, id string) error {
	_, err := tx.exec(ctx, `delete from tags where resource_type = $1 and resource_id = $2`, resourceType, id)
	return err
}

// tagsOf returns the tags of resources, in the order of their keys.
func tagsOf(ctx context.Context, r runner, resourceType string, ids []string) (map[string][]ssm.Tag, error) {
	tags := make(map[string][]ssm.Tag)
	if len(ids) == 0 {
		return tags, nil
	}
	var w where
	w.add("resource_type = ?", resourceType)
	w.in("resource_id", ids)
	err := r.rows(ctx, `select resource_id, key, value from tags`+w.String()+` order by resource_id, key`, w.args,
		func(scan func(...any) error) error {
			var id string
			var t ssm.Tag
			if err := scan(&id, &t.Key, &t.Value); err != nil {
				return err
			}
			tags[id] = append(tags[id], t)
			return nil
		})
	return tags, err
}
